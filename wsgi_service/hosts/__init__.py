"""Model hosts: the processes in which models are judged and computed, and what travels to them and back."""

"""Files of rows that are predicted chunk by chunk, by a server or by a model file in this very process."""

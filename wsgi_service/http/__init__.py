"""What HTTP's RFCs say of requests and answers, whatever they are about."""

"""The ACE model and everything needed to run it without a host."""

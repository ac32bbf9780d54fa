"""`gateway admin`: what operators change in the affinity domain by ITI-57, ITI-62 and ITI-86."""

"""The gateway and the affinity domain against SOAP stacks that share no code with them."""

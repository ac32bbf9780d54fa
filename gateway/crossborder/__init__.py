"""Communities, fan-out, initiating and responding gateways (XCA, XCA-I, XCPD)."""

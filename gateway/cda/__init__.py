"""HL7 CDA Release 2 -> model; pure."""

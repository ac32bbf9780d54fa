"""HL7 V3 messages of patient discovery <-> model (XCPD ITI-55; ITI TF-2 3.55); pure."""

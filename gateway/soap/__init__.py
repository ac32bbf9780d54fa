"""SOAP 1.2 on aiohttp: envelope, WS-Addressing, MTOM both ways, client and server (ITI TF-2 Appendix V)."""

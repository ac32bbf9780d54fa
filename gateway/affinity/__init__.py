"""An embedded XDS.b affinity domain: Document Registry and Document Repository, reached by SOAP only.

It is the domain of a first run, of the tests and of a small site: SQLite for metadata, files for
documents, both durable before anything is acknowledged. Sources: ITI TF-2 3.18, 3.41, 3.42, 3.43; ITI
TF-3 4.
"""

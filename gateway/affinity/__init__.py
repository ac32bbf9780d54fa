"""An embedded affinity domain: registry and repository over SQLite and files, reached by SOAP only."""

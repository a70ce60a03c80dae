# src/http: see src/README.md

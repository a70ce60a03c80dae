# src/api: see src/README.md

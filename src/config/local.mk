# src/config: see src/README.md

# src/store: see src/README.md

# src/registry: see src/README.md

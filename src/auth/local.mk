# src/auth: see src/README.md

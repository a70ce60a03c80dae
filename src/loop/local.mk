# src/loop: see src/README.md

"""Bring an accepted plan into Azure in reversible steps; the only package that writes to Azure."""

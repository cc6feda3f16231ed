"""Dialogs: each fits 1280 x 720, with its buttons outside of what scrolls."""

"""What the theory predicts of a flow: exponent, constant and corrections of its loss."""

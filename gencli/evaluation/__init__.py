"""How good a network is: for which class, and what it learned or memorized."""

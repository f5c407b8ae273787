"""The ways out, one module each: `opened(settings)` yields a function that sends one letter."""

"""What strikes real workers at their steps, and judges whether the promises were kept."""

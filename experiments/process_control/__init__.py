"""Process control against controllers that know the equations."""

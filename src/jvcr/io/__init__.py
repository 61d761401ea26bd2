"""What goes in and what comes out: checked inputs, photos, box files, records."""

"""What goes in and what comes out: checked inputs and outputs, photos, box files, records."""

"""What a chapter shows (tables, figures), and how chapters become pages."""

"""What a chapter shows: figures, tables and the line that says where they come from."""

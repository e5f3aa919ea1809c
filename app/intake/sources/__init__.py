"""Where photos come from: folders, archives, catalogues and web addresses, each told as entries that can be opened."""

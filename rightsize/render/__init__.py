"""Write results in each output format; `render.escape` escapes hostile text for all of them."""

-- Room in a page for the next states of its rows, so that a change of state stays in the page.
ALTER TABLE run_products SET (fillfactor = 50);

-- Room for the one update of each reservation on its page, also where baskets are large: at 60 every fourth update went to another page and into the index.
ALTER TABLE reservations SET (fillfactor = 45);

"""Files of timed annotations, as ELAN, Praat, subtitle editors and spreadsheets write them: read, written, changed."""

"""What is kept: the tables, rows as values, and one batch's reads and writes.

model, records         the tables; each row as a frozen value with the same fields
database               one SQLite file: made, locked, checked, opened
soundness              a large file looked over beside the work
work                   what a batch saw and will change, written by a few statements
sums, seals            what rows come to with a key; which do not, found as they are read
survey                 all rows that do not, for the command line
audit                  what was done by whom, chained
"""

"""What the admin socket can do, a module for each noun; `dispatch` finds the verb.

A verb is a function of the office, its arguments as a struct, and the time; it returns a Result's items
and raises CannotError. Changes go through `Office.change`: one transaction, audited, pushed.
"""

"""A formula -> instructions, and these -> one loop of machine code, or carried out one by one."""

/* What memory.c offers to main.c; libpython gets the rest by the names in memory.symbols. */
void memory_close(void);

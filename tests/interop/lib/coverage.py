"""Which drop reasons the tests raise by real frames."""

FIRED = set()


def fires(*reasons):
    """Marks a test as the one that raises these reasons."""

    def mark(test):
        FIRED.update(reasons)
        return test

    return mark

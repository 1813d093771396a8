"""CPython's process pools at the work of benches/process_pool.rs, which starts this and reads it.

One line per measurement: its name and microseconds per job. The middle of several rounds.
"""

import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor, as_completed

WORKERS, JOBS, ITEMS = 2, 2_000, 100_000


def noop(n):
    return n


def same(data):
    return data


def median(rounds, count, work):
    took = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        took.append((time.perf_counter() - start) / count * 1e6)
    return sorted(took)[rounds // 2]


def main():
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(WORKERS, mp_context=context) as pool:
        list(pool.map(noop, range(10)))

        def many():
            for future in as_completed([pool.submit(noop, n) for n in range(JOBS)]):
                future.result()

        def one_by_one():
            for n in range(200):
                pool.submit(noop, n).result()

        data = bytes(1 << 20)

        def megabytes():
            for _ in range(10):
                pool.submit(same, data).result()

        print("submit", median(5, JOBS, many))
        print("one", median(5, 200, one_by_one))
        print("mebibyte", median(5, 10, megabytes))
    with context.Pool(WORKERS) as pool:
        pool.map(noop, range(10))
        print("map", median(5, ITEMS, lambda: pool.map(noop, range(ITEMS))))


if __name__ == "__main__":
    main()

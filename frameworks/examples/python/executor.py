#!/usr/bin/env python3
"""An executor in Python: each of its tasks adds up the squares of the numbers it was given.

The agent starts one process for all tasks of this executor. A task's input comes in `data` of its description, its
answer goes back in `data` of the last update. A message from the framework is sent back in capitals.
"""

import json
import sys
from threading import Thread

from pymesos import Executor, MesosExecutorDriver, decode_data, encode_data


class SumOfSquares(Executor):
    def launchTask(self, driver, task):
        # The driver's thread must stay free: work is done elsewhere.
        Thread(target=self.work, args=(driver, task), daemon=True).start()

    def work(self, driver, task):
        self.tell(driver, task, "TASK_RUNNING")
        try:
            numbers = json.loads(decode_data(task["data"]))
            answer = sum(number * number for number in numbers)
        except (KeyError, ValueError, TypeError) as error:
            self.tell(driver, task, "TASK_FAILED", message=str(error))
            return
        self.tell(driver, task, "TASK_FINISHED", data=encode_data(str(answer).encode()))

    def tell(self, driver, task, state, **more):
        driver.sendStatusUpdate(dict(task_id=task["task_id"], state=state, **more))

    def frameworkMessage(self, driver, message):
        driver.sendFrameworkMessage(encode_data(decode_data(message).upper()))


if __name__ == "__main__":
    driver = MesosExecutorDriver(SumOfSquares())
    driver.run()
    sys.exit(0)

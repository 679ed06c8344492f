#!/bin/sh
# Stands in for a checker that is not installed: the test shows as skipped.
echo "skipped: python3 with numpy, scipy and nibabel is not installed ($*)"
exit 77

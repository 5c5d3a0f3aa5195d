"""Runs on hosts: moves shared addresses through the cloud's API and runs the database pair.

Imports nothing of the rest of the project; needs Debian 12's Python and its pymysql and requests packages.
"""

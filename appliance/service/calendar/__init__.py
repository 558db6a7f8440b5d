"""The calendar of the room: what is booked, and what the device does about it.

Nothing here is loaded by a device without a calendar, but for `keeper`.
"""

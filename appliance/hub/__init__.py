"""The room server: signaling, rooms, canvas, mix, and the page, behind one port."""

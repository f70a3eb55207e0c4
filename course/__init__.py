"""What makes the course: executing the lessons, their pages, the doctor."""

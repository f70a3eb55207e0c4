"""What makes the course: executing the lessons, writing their pages, the doctor."""

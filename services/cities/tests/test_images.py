import pytest
pytestmark = pytest.mark.images
def test_x():
    pass

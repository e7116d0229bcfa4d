"""Pure astronomy on arrays: site, night, visibility, Sun and Moon, dome geometry. No I/O."""

//! Where the tiles stand: equal cells, as large as the room allows for pictures of 16:9. Pure.

/// Room between tiles and around them, in pixels.
pub const SPACING: i32 = 8;
/// Height of a line in [`Arrangement::lines`]: a touch target (R-UI-1).
pub const LINE_HEIGHT: i32 = 66;

/// A cell of the grid in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    /// Left edge.
    pub x: i32,
    /// Top edge.
    pub y: i32,
    /// Width.
    pub width: i32,
    /// Height.
    pub height: i32,
}

/// A way to place tiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrangement {
    columns: i32,
    cell_width: i32,
    cell_height: i32,
    left: i32,
    top: i32,
}

impl Arrangement {
    /// The grid that shows `count` pictures of 16:9 largest within `width` × `height`.
    pub fn grid(count: usize, width: i32, height: i32) -> Self {
        let count = i32::try_from(count).unwrap_or(i32::MAX).max(1);
        let cell = |columns: i32| {
            let rows = (count + columns - 1) / columns;
            let cell_width = ((width - SPACING) / columns - SPACING).max(1);
            let cell_height = ((height - SPACING) / rows - SPACING).max(1);
            (cell_width, cell_height)
        };
        let picture_width = |columns: i32| {
            let (cell_width, cell_height) = cell(columns);
            cell_width.min(cell_height * 16 / 9)
        };
        // Of equal pictures the one with fewer columns: it leaves more room for words.
        let columns = (1..=count).max_by_key(|&columns| (picture_width(columns), -columns)).unwrap_or(1);
        let (cell_width, cell_height) = cell(columns);
        Self { columns, cell_width, cell_height, left: SPACING, top: SPACING }
    }

    /// One line per tile over the whole width, for a small panel.
    pub fn lines(width: i32) -> Self {
        let cell_width = (width - 2 * SPACING).max(1);
        Self { columns: 1, cell_width, cell_height: LINE_HEIGHT, left: SPACING, top: SPACING }
    }

    /// Height of `count` lines.
    pub fn lines_height(count: usize) -> i32 {
        SPACING + (LINE_HEIGHT + SPACING) * i32::try_from(count).unwrap_or(i32::MAX / 128)
    }

    /// The cell of a tile.
    pub fn cell(&self, index: usize) -> Cell {
        let index = i32::try_from(index).unwrap_or(i32::MAX);
        let (column, row) = (index % self.columns, index / self.columns);
        Cell {
            x: self.left + column * (self.cell_width + SPACING),
            y: self.top + row * (self.cell_height + SPACING),
            width: self.cell_width,
            height: self.cell_height,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What is left of 1920×1080 and 1024×600 beside header and status line, and a bit less.
    const ROOMS: [(i32, i32); 2] = [(1920, 960), (1024, 480)];

    #[test]
    fn sixteen_tiles_fit_both_screens_and_none_is_under_160_px() {
        for (width, height) in ROOMS {
            for count in 1..=16 {
                let grid = Arrangement::grid(count, width, height);
                assert!(grid.cell(0).width >= 160, "{count} tiles at {width}×{height}: {:?}", grid.cell(0));
            }
        }
    }

    #[test]
    fn four_tiles_stand_two_by_two() {
        let grid = Arrangement::grid(4, 1920, 960);
        assert_eq!(grid.cell(1).y, grid.cell(0).y);
        assert!(grid.cell(2).y > grid.cell(0).y);
    }

    proptest! {
        #[test]
        fn no_tile_is_clipped_or_overlaps(count in 1usize..=16, width in 400..4000, height in 300..2200) {
            let grid = Arrangement::grid(count, width, height);
            let cells: Vec<_> = (0..count).map(|index| grid.cell(index)).collect();
            for (index, a) in cells.iter().enumerate() {
                prop_assert!(a.x >= 0 && a.y >= 0 && a.x + a.width <= width && a.y + a.height <= height);
                for b in &cells[index + 1..] {
                    let apart = a.x + a.width <= b.x || b.x + b.width <= a.x || a.y + a.height <= b.y || b.y + b.height <= a.y;
                    prop_assert!(apart, "{a:?} and {b:?} overlap");
                }
            }
        }
    }
}

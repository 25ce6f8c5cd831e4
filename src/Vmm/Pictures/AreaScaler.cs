namespace WebVm.Vmm.Pictures;

/// <summary>Makes pictures smaller by area averaging.</summary>
internal static class AreaScaler
{
    private const int BytesPerPixel = Screenshot.BytesPerPixel;

    /// <summary>Scales lines of red, green, blue. The target is nowhere larger than the source.</summary>
    public static void Scale(ReadOnlySpan<byte> source, int width, int height, Span<byte> target, int targetWidth, int targetHeight)
    {
        // A source pixel is targetWidth × targetHeight units large, a target pixel width × height: all edges are whole numbers.
        var sums = new long[targetWidth * BytesPerPixel];
        long area = (long)width * height;
        for (int row = 0; row < targetHeight; row++)
        {
            Array.Clear(sums);
            int top = row * height;
            int bottom = top + height;
            for (int y = top / targetHeight; y * targetHeight < bottom; y++)
            {
                int share = Math.Min(bottom, (y + 1) * targetHeight) - Math.Max(top, y * targetHeight);
                AddLine(source.Slice(y * width * BytesPerPixel, width * BytesPerPixel), width, sums, targetWidth, share);
            }

            var line = target.Slice(row * targetWidth * BytesPerPixel, sums.Length);
            for (int i = 0; i < sums.Length; i++)
            {
                line[i] = (byte)((sums[i] + (area / 2)) / area);
            }
        }
    }

    private static void AddLine(ReadOnlySpan<byte> line, int width, Span<long> sums, int targetWidth, int share)
    {
        for (int column = 0; column < targetWidth; column++)
        {
            int left = column * width;
            int right = left + width;
            for (int x = left / targetWidth; x * targetWidth < right; x++)
            {
                long weight = (long)share * (Math.Min(right, (x + 1) * targetWidth) - Math.Max(left, x * targetWidth));
                for (int colour = 0; colour < BytesPerPixel; colour++)
                {
                    sums[(column * BytesPerPixel) + colour] += weight * line[(x * BytesPerPixel) + colour];
                }
            }
        }
    }
}

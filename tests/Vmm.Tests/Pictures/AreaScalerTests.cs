using WebVm.Vmm.Devices.Display;
using Xunit;
using WebVm.Vmm.Pictures;

namespace WebVm.Vmm.Tests.Pictures;

public sealed class AreaScalerTests
{
    [Fact]
    public void A_pixel_is_the_mean_of_the_area_that_it_covers()
    {
        // Three columns become two: each takes one column and half of the middle one.
        byte[] target = new byte[2 * Screenshot.BytesPerPixel];
        AreaScaler.Scale([0, 30, 255, 90, 30, 255, 240, 30, 255], 3, 1, target, 2, 1);
        Assert.Equal([30, 30, 255, 190, 30, 255], target);
    }

    [Fact]
    public void A_line_of_one_pixel_does_not_vanish()
    {
        const int width = 1024;
        const int height = 768;
        byte[] source = new byte[width * height * Screenshot.BytesPerPixel];
        source.AsSpan(500 * width * Screenshot.BytesPerPixel, width * Screenshot.BytesPerPixel).Fill(255);
        byte[] target = new byte[100 * 75 * Screenshot.BytesPerPixel];
        AreaScaler.Scale(source, width, height, target, 100, 75);
        Assert.Equal(100 * Screenshot.BytesPerPixel, target.Count(value => value > 20));
    }

    [Theory]
    [InlineData(640, 400, 639, 399)]
    [InlineData(2560, 1600, 16, 10)]
    [InlineData(7, 5, 7, 1)]
    public void One_colour_stays_that_colour(int width, int height, int targetWidth, int targetHeight)
    {
        byte[] source = new byte[width * height * Screenshot.BytesPerPixel];
        source.AsSpan().Fill(201);
        byte[] target = new byte[targetWidth * targetHeight * Screenshot.BytesPerPixel];
        AreaScaler.Scale(source, width, height, target, targetWidth, targetHeight);
        Assert.All(target, value => Assert.Equal(201, value));
    }
}

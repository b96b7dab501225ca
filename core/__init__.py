"""What every process of this project needs; knows neither cloud, kernel, CSI nor CNI."""
